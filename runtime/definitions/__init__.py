"""How an author writes tasks and workflows, and what they can ask for."""
