// Nothing of its own: the shared library is its parts.
