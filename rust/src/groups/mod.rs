//! Grouping records by key, and reducing what each group holds. No Python here.

pub mod hash;
pub mod keys;
pub mod pages;
pub mod reduce;
pub mod short;
pub mod table;
