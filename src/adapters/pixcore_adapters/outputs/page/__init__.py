"""What the report and the page of reviews share: templates, styles and scripts, and the rows of images as JSON."""
