"""What is answered: the fields of a definition, with its id, project and times."""
