"""What ``duologue demo`` does, in parts: the restaurant it starts, the user it chooses, the report it prints."""
