"""Who may do what with which object."""
