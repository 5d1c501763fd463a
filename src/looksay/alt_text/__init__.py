"""Alt text for images of HTML and Markdown files."""
