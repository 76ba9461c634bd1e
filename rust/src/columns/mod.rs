//! Records as columns, and the way between columns, Python objects, lines and Arrow.

pub mod column;
