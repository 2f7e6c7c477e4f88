"""The tasks `vlsbench` and `vlsbench_text_only` of lmms-eval: YAML files, and what they call (`pairs`)."""
