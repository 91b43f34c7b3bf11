"""Server-rendered pages: templates, styles and what fills them in."""
