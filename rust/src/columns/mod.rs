//! Records as columns, and the way between columns, Python objects, lines and Arrow.

pub mod arrow;
pub mod batch;
pub mod chunk;
pub mod column;
pub mod encode;
pub mod from_arrow;
pub mod from_python;
pub mod marks;
pub mod memory;
pub mod number;
pub mod numbers;
pub mod parse;
pub mod pending;
pub mod quotes;
pub mod rows;
pub mod schema;
pub mod times;
pub mod txt;
