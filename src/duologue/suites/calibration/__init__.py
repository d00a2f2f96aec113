"""What people say of runs, how well judges agree with them, and what that means for what judges have counted."""
