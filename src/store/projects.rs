//! projects rows (the founder is writing this file).
