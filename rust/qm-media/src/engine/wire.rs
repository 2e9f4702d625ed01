//! Between a leg and its peer: plain RTP as it is, SRTP opened on the way in and sealed on the way out. To a leg that has
//! keys nothing leaves unsealed.

use super::Cx;
use super::call::Call;
use crate::guard::Guard;
use crate::leg::Leg;
use crate::protocol::{Event, LegName};
use crate::shell::{SendFailure, SocketId};
use crate::srtp::{Refused, TRAILER};
use std::net::SocketAddr;

/// The longest packet that is taken (`io::sockets`), sealed.
const LARGEST: usize = 2048 + TRAILER;

/// What came from `source`, as its sender said it; `None`, and counted, if nobody knows what that was.
pub(super) fn open<'a>(
    call: &mut Call,
    name: LegName,
    source: SocketAddr,
    data: &'a mut [u8],
    cx: &mut Cx<'_>,
) -> Option<&'a mut [u8]> {
    let leg = call.leg(name)?;
    let Some(secure) = leg.secure.as_mut() else { return Some(data) };
    match secure.open(data) {
        Ok(length) => data.get_mut(..length),
        Err(Refused::NotAuthentic) if !cx.stands(Guard::Authentic) => Some(data),
        Err(why) => {
            if why == Refused::NotAuthentic && leg.expects(source) {
                wrong_key(call, name, cx);
            }
            refuse(call.leg(name)?, why, cx);
            None
        }
    }
}

/// The same of RTCP.
pub(super) fn open_rtcp<'a>(leg: &mut Leg, data: &'a mut [u8], cx: &mut Cx<'_>) -> Option<&'a mut [u8]> {
    let Some(secure) = leg.secure.as_mut() else { return Some(data) };
    match secure.open_rtcp(data) {
        Ok(length) => data.get_mut(..length),
        Err(why) => {
            refuse(leg, why, cx);
            None
        }
    }
}

fn refuse(leg: &mut Leg, why: Refused, cx: &mut Cx<'_>) {
    let counted = u64::from(leg.counted);
    let counters = &mut cx.world.counters;
    match why {
        Refused::Malformed => counters.invalid += counted,
        Refused::Replayed => counters.replayed += counted,
        Refused::NotAuthentic | Refused::KeyUsedUp => {
            counters.not_authentic += counted;
            leg.not_authentic += counted;
        }
    }
}

/// Whoever is on that leg has another key than his description said. Of a private call nothing is said.
fn wrong_key(call: &mut Call, name: LegName, cx: &mut Cx<'_>) {
    let (id, private) = (call.id.clone(), call.is_private());
    let secure = call.leg(name).and_then(|leg| leg.secure.as_mut());
    if secure.is_some_and(|secure| secure.was_wrong(cx.now)) && !private {
        cx.event(Event::MediaNotAuthentic { call: id, leg: name });
    }
}

/// Send it to that leg's peer, as he can read it.
pub(super) fn send(
    leg: &mut Leg,
    socket: SocketId,
    to: SocketAddr,
    data: &[u8],
    cx: &mut Cx<'_>,
) -> Result<(), SendFailure> {
    let Some(secure) = leg.secure.as_mut() else { return cx.shell.send(socket, to, data) };
    let mut sealed = [0; LARGEST];
    let Ok(length) = secure.sender.seal(data, &mut sealed) else {
        cx.world.counters.unsealed += 1;
        return Err(SendFailure::Busy);
    };
    cx.shell.send(socket, to, &sealed[..length])?;
    secure.sender.sent(data);
    Ok(())
}

/// The same of RTCP.
pub(super) fn send_rtcp(
    leg: &mut Leg,
    socket: SocketId,
    to: SocketAddr,
    data: &[u8],
    cx: &mut Cx<'_>,
) -> Result<(), SendFailure> {
    let Some(secure) = leg.secure.as_mut() else { return cx.shell.send(socket, to, data) };
    let mut sealed = [0; LARGEST];
    let Ok(length) = secure.sender.seal_rtcp(data, &mut sealed) else {
        cx.world.counters.unsealed += 1;
        return Err(SendFailure::Busy);
    };
    cx.shell.send(socket, to, &sealed[..length])
}
