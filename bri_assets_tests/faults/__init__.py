"""Things that break while the program works: killed processes, full disks, files that change."""
