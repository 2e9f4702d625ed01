//! One call: two legs, what was proven to them, what is tapped; or that nothing can be.

use super::Cx;
use super::taps::{self, Held};
use crate::guard::Guard;
use crate::leg::Leg;
use crate::prompt::Proof;
use crate::protocol::{Event, LegName, Nanos, OpenCall, Use};
use crate::receipt;
use crate::shell::SocketId;
use crate::tap::Tap;

/// Who hears along. A private call has no place where a tap could be.
#[derive(Debug)]
pub(super) enum Ears {
    Open(Vec<Tap>),
    Private { at: Nanos, cut_from: Nanos },
}

#[derive(Debug)]
pub(super) struct Call {
    pub id: String,
    pub slot: usize,
    pub line: String,
    /// Whom the call is about, as receipts know him, and when it began.
    pub subject: Option<String>,
    pub opened: Nanos,
    /// The leg of the first outside party: whom a receipt speaks of.
    pub customer: Option<LegName>,
    /// Somebody came new since: receipts say nothing here any more.
    pub receipts_void: bool,
    pub legs: [Option<Leg>; 2],
    pub bridged: bool,
    pub held: bool,
    pub paused: bool,
    /// Its one leg hears another call's taps, or did: it never gets another party.
    pub listener: bool,
    /// Uses that nobody may make of this call any more: recording, listening.
    pub forbidden: [bool; 2],
    pub proofs: Vec<Proof>,
    pub ears: Ears,
    /// Ids of taps that were: none opens twice.
    pub taps_seen: Vec<String>,
}

impl Call {
    pub fn new(command: OpenCall, slot: usize, opened: Nanos) -> Call {
        Call {
            id: command.call,
            slot,
            line: command.line,
            subject: command.subject,
            opened,
            customer: None,
            receipts_void: false,
            legs: [None, None],
            bridged: false,
            held: false,
            paused: false,
            listener: false,
            forbidden: [false; 2],
            proofs: Vec::new(),
            ears: Ears::Open(Vec::new()),
            taps_seen: Vec::new(),
        }
    }

    pub fn is_private(&self) -> bool {
        matches!(self.ears, Ears::Private { .. })
    }

    pub fn taps(&self) -> &[Tap] {
        match &self.ears {
            Ears::Open(taps) => taps,
            Ears::Private { .. } => &[],
        }
    }

    pub fn taps_mut(&mut self) -> &mut [Tap] {
        match &mut self.ears {
            Ears::Open(taps) => taps,
            Ears::Private { .. } => &mut [],
        }
    }

    /// The taps that are meant, taken out.
    pub fn take_taps(&mut self, which: impl Fn(&Tap) -> bool) -> Vec<Tap> {
        match &mut self.ears {
            Ears::Open(taps) => taps.extract_if(.., |tap| which(tap)).collect(),
            Ears::Private { .. } => Vec::new(),
        }
    }

    /// Whether its one leg can be a listener: nobody else is there, nobody was told anything.
    pub fn may_listen(&self) -> bool {
        let [Some(leg), None] = &self.legs else { return false };
        self.line.is_empty() && !self.bridged && !leg.outside
    }

    pub fn is_forbidden(&self, what: Use) -> bool {
        self.forbidden[what as usize]
    }

    pub fn leg(&mut self, name: LegName) -> Option<&mut Leg> {
        self.legs[name.index()].as_mut()
    }

    pub fn socket(&self, leg: LegName) -> SocketId {
        SocketId::new(self.slot, leg, false)
    }

    /// A leg and the one it may talk with.
    pub fn pair(&mut self, name: LegName) -> (Option<&mut Leg>, Option<&mut Leg>) {
        let [caller, callee] = &mut self.legs;
        match name {
            LegName::Caller => (caller.as_mut(), callee.as_mut()),
            LegName::Callee => (callee.as_mut(), caller.as_mut()),
        }
    }

    pub fn outside_legs(&self) -> Vec<LegName> {
        let outside = |name: &LegName| self.legs[name.index()].as_ref().is_some_and(|leg| leg.outside);
        LegName::BOTH.into_iter().filter(outside).collect()
    }

    /// What was told on these legs no longer stands; every tap of the call closes, and what it held back is dropped.
    pub fn void(&mut self, leg: Option<LegName>, reason: &str, cx: &mut Cx<'_>) {
        if cx.stands(Guard::VoidMarks) {
            self.void_those(|proof| leg.is_none_or(|leg| proof.leg == leg), cx);
        }
        if leg.is_none() || leg == self.customer {
            self.void_receipts(cx);
        }
        for name in LegName::BOTH.into_iter().filter(|name| leg.is_none_or(|leg| leg == *name)) {
            super::playing::fail(self, name, "voided", cx);
        }
        if cx.stands(Guard::VoidCloses) {
            taps::close_all(self, reason, Held::Drop, cx);
        }
    }

    /// Mark proofs void, and the receipts made of them. Whether any stood.
    pub fn void_those(&mut self, which: impl Fn(&Proof) -> bool, cx: &mut Cx<'_>) -> bool {
        let mut any = false;
        for proof in self.proofs.iter_mut().filter(|proof| which(proof)) {
            any |= !std::mem::replace(&mut proof.void, true);
            proof.receipt.take().into_iter().for_each(|token| cx.world.receipts.void(&token));
        }
        any
    }

    /// Whoever is there now may not be who was told elsewhere.
    pub fn void_receipts(&mut self, cx: &mut Cx<'_>) {
        if cx.stands(Guard::ReceiptVoided) {
            self.receipts_void = true;
            self.void_those(|proof| proof.id.starts_with(receipt::PREFIX), cx);
        }
    }

    /// An outside party opens a leg. The first is the customer.
    pub fn joined(&mut self, leg: LegName, cx: &mut Cx<'_>) {
        match self.customer {
            None => self.customer = Some(leg),
            Some(_) => self.void_receipts(cx),
        }
    }

    /// Close a leg's sockets and tell what it counted. Its proofs die with it.
    pub fn close_leg(&mut self, name: LegName, cx: &mut Cx<'_>) {
        super::playing::fail(self, name, "hung-up", cx);
        let Some(leg) = self.legs[name.index()].take() else { return };
        taps::close_all(self, "leg-closed", Held::Keep, cx);
        self.proofs.retain(|proof| proof.leg != name);
        if self.customer == Some(name) {
            self.void_receipts(cx);
        }
        cx.shell.unbind(self.socket(name));
        cx.world.ports.push_back(leg.port);
        cx.event(Event::LegClosed {
            call: self.id.clone(),
            leg: name,
            received: leg.received,
            sent: leg.sent,
            strangers: leg.strangers,
            lost: leg.sequence.lost(),
            not_authentic: leg.not_authentic,
        });
    }
}
