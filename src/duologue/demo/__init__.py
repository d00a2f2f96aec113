"""What ``duologue demo`` shows: a real agent (``restaurant/``) and the conversations to rehearse with it."""
