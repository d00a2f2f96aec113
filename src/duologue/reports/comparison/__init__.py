"""A comparison of two executions for people: on the terminal, as Markdown for a pull request, and as a web page."""
