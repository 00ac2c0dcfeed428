"""What goes in and what comes out of the researchers' API. Rules stay in the services; shapes are here."""
