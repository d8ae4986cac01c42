//! Disk images: fetched once, checked, inspected, kept within a limit.
