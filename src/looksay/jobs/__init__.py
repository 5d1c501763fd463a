"""Many images: jobs that can be stopped at any moment and go on where they were."""
