//! Instances of other models that LoopBack's memory connector keeps in the same file, beside the project: each a JSON text
//! under `models.<Model>.<id>`, with the last number that was given in `ids.<Model>`.

use serde_json::{Value, json};

use super::edit::{Edit, EditError, ProjectFile, Splice, descend, splices};
use super::envelope::PROJECT_FILE;
use crate::node::Data;

impl ProjectFile {
    /// Every instance of a model by its id, in the file's order. One that cannot be read is left out.
    ///
    /// # Errors
    /// Where the file is no JSON.
    pub fn records(&self, model: &str) -> Result<Vec<(String, Value)>, EditError> {
        if self.text().trim().is_empty() {
            return Ok(Vec::new());
        }
        let outer = self.outer()?;
        let Some(found) = descend(&outer, &["models", model]) else { return Ok(Vec::new()) };
        let record = |entry: &&crate::node::Entry| {
            let text = entry.value.as_text()?;
            Some((entry.key.clone(), serde_json::from_str(&text).ok()?))
        };
        Ok(found.fields().iter().filter_map(record).collect())
    }

    /// The id that the next instance of a model gets.
    ///
    /// # Errors
    /// Where the file is no JSON.
    pub fn next_record(&self, model: &str) -> Result<u64, EditError> {
        let counted = match self.text().trim() {
            "" => None,
            _ => descend(&self.outer()?, &["ids", model]).and_then(|node| node.to_value().as_u64()),
        };
        let used = self.records(model)?.into_iter().filter_map(|(id, _)| id.parse::<u64>().ok()).max();
        // The counter is the last id that was given or, in some files, the next one: neither may be given twice.
        Ok(counted.max(used).unwrap_or_default().saturating_add(1))
    }

    /// Writes an instance of a model, with the counter where its id is a number.
    ///
    /// # Errors
    /// Where the file is no JSON, or something else stands where models do.
    pub fn put_record(&mut self, model: &str, id: &str, value: &Value) -> Result<(), EditError> {
        let counter = self.next_record(model)?;
        if self.text().trim().is_empty() {
            self.put_back(format!("{:#}\n", json!({ "ids": {}, "models": {} })));
        }
        self.put(&["models", model, id], &Value::String(value.to_string()))?;
        match id.parse::<u64>() {
            Ok(number) if number >= counter => self.put(&["ids", model], &Value::from(number)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Removes an instance of a model; answers whether there was one.
    ///
    /// # Errors
    /// Where the file is no JSON.
    pub fn remove_record(&mut self, model: &str, id: &str) -> Result<bool, EditError> {
        if self.text().trim().is_empty() {
            return Ok(false);
        }
        let found = splices(&self.outer()?, &["models", model, id], Edit::Remove);
        Ok(found.map(|found| self.splice_outer(found)).is_some())
    }

    /// Sets a value of the outer file; objects on the way are made.
    pub(super) fn put(&mut self, path: &[&str], value: &Value) -> Result<(), EditError> {
        let outer = self.outer()?;
        let missing =
            |depth: &usize| descend(&outer, &path[..*depth]).is_none_or(|node| node.data == Data::Null);
        let depth = (1..=path.len()).find(missing).unwrap_or(path.len());
        let value = path[depth..].iter().rev().fold(value.clone(), |value, key| json!({ *key: value }));
        let found = splices(&outer, &path[..depth], Edit::Set(&value)).ok_or_else(|| {
            EditError::Unreadable(format!("{PROJECT_FILE}: `{}` is no object", path[..depth - 1].join(".")))
        })?;
        self.splice_outer(found);
        Ok(())
    }

    fn splice_outer(&mut self, splices: Vec<Splice>) {
        let before = self.text().len() - self.body().len();
        let mut text = self.text().to_owned();
        for Splice { range, text: new } in splices.into_iter().rev() {
            text.replace_range(before + range.start..before + range.end, &new);
        }
        self.put_back(text);
    }
}
