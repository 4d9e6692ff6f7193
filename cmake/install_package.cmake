# Filled in once the shared library exists.
