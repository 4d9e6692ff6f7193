"""The version that `pip` and `deepspeed.__version__` show: DeepSpeed's whose interface this is, then our own."""

version = "0.19.8+cpp.0.1.0"
git_hash = "unknown"
git_branch = "unknown"
