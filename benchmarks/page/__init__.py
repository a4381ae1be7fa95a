"""The running page: hostile files, many people at once, and how long one of them waits."""
