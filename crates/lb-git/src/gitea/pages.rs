//! Listings, whole or not at all.
//!
//! Gitea answers at most 50 entries a page and says how many there are. A listing during which that number changes, or
//! that has another number of entries in the end, may have skipped one: it is read again.

use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;

use super::api::{Answer, Api, Ask, Failure};
use crate::error::HostError;

/// Entries of a page: Gitea's default upper limit (`[api] MAX_RESPONSE_ITEMS`).
const PAGE: usize = 50;
/// Pages that are asked for at once.
const AT_ONCE: usize = 4;
/// Times that a listing is begun.
const TRIES: usize = 5;

/// Reads the entries of one page.
pub(super) type Entries<T> = fn(&Answer) -> Result<Vec<T>, HostError>;

impl Api {
    /// All entries of a listing that answers arrays.
    pub(super) async fn list<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Vec<T>, Failure> {
        self.pages(ask, Answer::list).await
    }

    /// All entries of a listing.
    pub(super) async fn pages<T>(&self, ask: &Ask, entries: Entries<T>) -> Result<Vec<T>, Failure> {
        for _ in 0..TRIES {
            if let Some(all) = self.listing(ask, entries).await? {
                return Ok(all);
            }
        }
        let why = format!("it changed during each of {TRIES} readings");
        Err(Failure::Host(HostError::malformed(format!("list {ask:?}"), why)))
    }

    /// One page, counted from 1.
    pub(super) async fn page(&self, ask: &Ask, page: usize) -> Result<Answer, Failure> {
        self.ask(ask.clone().query("page", page.to_string()).query("limit", PAGE.to_string())).await
    }

    /// One reading; `None` where it may have skipped something.
    async fn listing<T>(&self, ask: &Ask, entries: Entries<T>) -> Result<Option<Vec<T>>, Failure> {
        let first = self.page(ask, 1).await?;
        let total = first.total().map_err(Failure::Host)?;
        let mut all = entries(&first).map_err(Failure::Host)?;
        let size = all.len();
        if size < total {
            // Zero entries of some: the server's pages are empty, which no rule of ours explains.
            let pages = total.div_ceil(size.max(1));
            let rest = futures::stream::iter(2..=pages).map(|page| self.page(ask, page)).buffered(AT_ONCE);
            let rest: Vec<Answer> = if size == 0 { Vec::new() } else { rest.try_collect().await? };
            for page in &rest {
                if page.total().map_err(Failure::Host)? != total {
                    return Ok(None);
                }
                all.extend(entries(page).map_err(Failure::Host)?);
            }
        }
        Ok((all.len() == total).then_some(all))
    }
}
