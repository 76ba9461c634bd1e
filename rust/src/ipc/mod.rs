//! Arrow's IPC format: a schema and then batches of records, each a message of its own, so that the
//! batches of many writers can stand one behind the other.

pub mod batches;
pub mod buffers;
pub mod check;
mod decode;
mod input;
pub mod layout;
pub mod message;
pub mod pack;
pub mod part;
pub mod rows;
pub mod stream;
mod types;
