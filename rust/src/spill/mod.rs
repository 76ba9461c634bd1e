//! Records that do not fit in memory: on disk, in parts by their keys. No Python here.

pub mod parts;
pub mod rows;
pub mod scratch;
