//! Receipts: what one call has told a customer, shown in another call of his.
//!
//! While he waits he hears the whole prompt; the agent's leg comes later, as a call of its own, and brings the token. The
//! engine remembers what it played itself: a token alone says nothing. A receipt stands for its subject on its line, in
//! calls that begin before it expires, as often as they come; and only in this run.

use crate::guard::{Guard, Guards};
use crate::prompt::Prompt;
use crate::protocol::{MS, Nanos};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// A presented proof that begins so is a receipt's token.
pub const PREFIX: &str = "receipt:";

/// A call that began in time may show its receipt this much later.
const KEPT: Nanos = 24 * 3600 * 1000 * MS;

#[derive(Debug)]
pub struct Receipt {
    pub line: String,
    pub subject: String,
    pub prompt: Arc<Prompt>,
    pub sent_to: SocketAddr,
    pub ended: Nanos,
    pub expires: Nanos,
}

/// The call a receipt is shown in.
pub struct Shown<'a> {
    pub line: &'a str,
    pub subject: Option<&'a str>,
    pub opened: Nanos,
}

#[derive(Debug, Default)]
pub struct Receipts {
    by_token: HashMap<String, Receipt>,
}

impl Receipts {
    /// Keep a receipt. A token is given once: a second one changes nothing.
    pub fn keep(&mut self, token: String, receipt: Receipt) {
        self.by_token.retain(|_, old| old.expires.saturating_add(KEPT) > receipt.ended);
        self.by_token.entry(token).or_insert(receipt);
    }

    /// It was not heard after all.
    pub fn void(&mut self, token: &str) {
        self.by_token.remove(token);
    }

    pub fn len(&self) -> usize {
        self.by_token.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_token.is_empty()
    }

    /// The receipt of a token, if it stands in that call.
    pub fn find(&self, token: &str, shown: &Shown<'_>, guards: Guards) -> Result<&Receipt, &'static str> {
        let receipt = self.by_token.get(token).ok_or("receipt-unknown")?;
        if shown.subject != Some(&receipt.subject) && guards.stands(Guard::ReceiptOfSubject) {
            return Err("receipt-of-another");
        }
        if shown.line != receipt.line && guards.stands(Guard::ReceiptOfLine) {
            return Err("receipt-of-another");
        }
        if shown.opened >= receipt.expires && guards.stands(Guard::ReceiptFresh) {
            return Err("receipt-expired");
        }
        Ok(receipt)
    }
}
