"""What a DAG or the command line runs. Only jobs commit."""
