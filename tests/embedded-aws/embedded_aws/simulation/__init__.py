"""What AWS does by itself: launching, replacing, reclaiming, moving tasks."""
