"""The program's log: forms, levels, secrets masked."""
