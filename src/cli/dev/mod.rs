pub mod broker;
pub mod console;
pub mod explain;
pub mod place;
