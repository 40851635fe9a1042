"""`lifeline top`: what is read, what is drawn, and the terminal between them and a person."""
