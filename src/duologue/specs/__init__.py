"""What a suite is: one frozen model for each kind of resource, whatever dialect its files are in."""
