//! Rows in the order of their shards. No Python here.

#[derive(Default)]
pub struct Order {
    /// Where the rows of each shard start among `rows`, and end.
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl Order {
    /// Calls a function with each shard and the rows that belong to it, by a counting sort.
    pub fn each<E>(
        &mut self,
        shards: &[u32],
        mut function: impl FnMut(u32, &[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let count = shards.iter().max().map_or(0, |&last| last as usize + 1);
        // Many shards and few rows: each row is visited as it comes.
        if count > 4 * shards.len() {
            return (0..)
                .zip(shards)
                .try_for_each(|(row, &shard)| function(shard, &[row]));
        }
        self.ends.clear();
        self.ends.resize(count + 1, 0);
        for &shard in shards {
            self.ends[shard as usize + 1] += 1;
        }
        for shard in 0..count {
            self.ends[shard + 1] += self.ends[shard];
        }
        self.rows.resize(shards.len(), 0);
        for (row, &shard) in (0..).zip(shards) {
            let next = &mut self.ends[shard as usize];
            self.rows[*next as usize] = row;
            *next += 1;
        }
        let mut start = 0;
        for (shard, &end) in (0..count as u32).zip(&self.ends) {
            if start < end {
                function(shard, &self.rows[start as usize..end as usize])?;
            }
            start = end;
        }
        Ok(())
    }
}
