//! env rows (the founder is writing this file).
