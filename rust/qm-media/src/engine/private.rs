//! What ends every use of a call, or some: the agent's private line, an objection.

use super::Cx;
use super::call::{Call, Ears};
use super::packets;
use super::taps::{self, Held};
use crate::guard::Guard;
use crate::protocol::{Event, Forbid, LegName, Nanos, Use};

/// The one word of a code that the engine itself obeys.
pub(super) const WORD: &str = "private";

/// Private, from here to the end of the call. What was said since `since`, or less than `drop_before` ago, is cut from
/// every recording; all taps close, and after that the call has no place where one could be.
pub(super) fn make_private(call: &mut Call, drop_before: Nanos, since: Nanos, cx: &mut Cx<'_>) {
    if !call.is_private() {
        let now = cx.now;
        let cut_from = since.min(now.saturating_sub(drop_before));
        LegName::BOTH.into_iter().for_each(|leg| forget_keys(call, leg, cx));
        close_ears(call, cut_from, cx);
    }
    if let Ears::Private { at: at_ns, cut_from: cut_from_ns } = call.ears {
        cx.event(Event::MadePrivate { call: call.id.clone(), at_ns, cut_from_ns });
    }
}

/// Keys that were held back came before: they go on their way. From now on none means anything.
fn forget_keys(call: &mut Call, name: LegName, cx: &mut Cx<'_>) {
    let Some(watch) = call.leg(name).and_then(|leg| leg.watch.as_mut()) else { return };
    let late = watch.end();
    packets::send_late(call, name, late, cx);
}

fn close_ears(call: &mut Call, cut_from: Nanos, cx: &mut Cx<'_>) {
    let at = cx.now;
    if cx.stands(Guard::PrivateCuts) {
        let recordings = call.taps_mut().iter_mut().filter(|tap| tap.what == Use::Record);
        recordings.for_each(|tap| tap.cut(cut_from, at, at));
    }
    if !cx.stands(Guard::PrivateCloses) {
        return;
    }
    taps::close_all(call, WORD, held(Guard::PrivateDrops, cx), cx);
    if cx.stands(Guard::PrivateRefuses) {
        call.ears = Ears::Private { at, cut_from };
    }
    if cx.stands(Guard::PrivateUncounted) {
        call.legs.iter_mut().flatten().for_each(|leg| leg.counted = false);
    }
}

/// Whether packets of a new leg of this call are counted.
pub(super) fn is_counted(call: &Call, cx: &Cx<'_>) -> bool {
    !call.is_private() || !cx.stands(Guard::PrivateUncounted)
}

/// Taps of these uses close without what they held back, and none opens again.
pub(super) fn forbid(call: &mut Call, c: &Forbid, cx: &mut Cx<'_>) {
    c.uses.iter().for_each(|what| call.forbidden[*what as usize] = true);
    if cx.stands(Guard::ForbidCloses) {
        let held = held(Guard::ForbidDrops, cx);
        taps::close_those(call, |tap| c.uses.contains(&tap.what), &c.reason, held, cx);
    }
}

fn held(drops: Guard, cx: &Cx<'_>) -> Held {
    if cx.stands(drops) { Held::Drop } else { Held::Keep }
}
