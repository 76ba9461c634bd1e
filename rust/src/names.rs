//! Names of custom shards. No Python here, so that `tests/` can run without it.

/// A custom shard's name becomes a path below its table's folder, and must stay there.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("is empty");
    }
    if name.starts_with('/') {
        return Err("is an absolute path; it must stay in the table's folder");
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Err("holds a control character or a backslash");
    }
    for part in name.split('/') {
        match part {
            ".." => return Err("would leave the table's folder"),
            "" | "." => return Err("has an empty part"),
            _ if part.len() > 200 => return Err("has a part of more than 200 bytes"),
            _ => {}
        }
    }
    Ok(())
}
