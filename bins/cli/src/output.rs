//! Table, wide, JSON: rows in, text out.
