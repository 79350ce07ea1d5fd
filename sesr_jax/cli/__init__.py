"""The `sesr` command: one module per verb, each with ``run(argv)``, behind `cli.main`."""
