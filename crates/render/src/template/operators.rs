//! The filters that [`guard`](super::guard) puts around operands. Templates cannot name them.

use minijinja::{
    Environment, Error, State, Value,
    value::{Rest, ValueKind},
};

use crate::{
    template::{
        meter::{MAX_TEXT_GROWTH, Meter, invalid},
        part::Part,
    },
    values::{Exact, PLACEHOLDER, decimal, is_placeholder},
};

/// An operand of a comparison, of `in` and of `+`.
pub(crate) const OPERAND: &str = "=operand";
/// An operand that has to be a number.
pub(crate) const NUMBER: &str = "=number";
/// An operand of `~`.
pub(crate) const TEXT: &str = "=text";
/// The list of a loop, or a list that the engine has made.
pub(crate) const WHOLE: &str = "=whole";
/// The value that an item is taken from.
pub(crate) const ITEM: &str = "=item";
/// The name or number of an item.
pub(crate) const KEY: &str = "=key";
/// A value that is written outside of JSON, so it has to be one piece of text.
pub(crate) const ONE_PIECE: &str = "=one_piece";

pub(crate) fn add_to(environment: &mut Environment<'static>, part: Part) {
    environment.add_filter(OPERAND, |state: &mut State<'_, '_>, value: Value| operand(state, &value));
    environment.add_filter(NUMBER, |value: Value| number(&value));
    environment.add_filter(TEXT, move |state: &mut State<'_, '_>, value: Value, named: Rest<Value>| {
        if part != Part::Json {
            one_piece(part, &value, &named)?;
        }
        text(state, part, value)
    });
    environment.add_filter(WHOLE, |state: &mut State<'_, '_>, value: Value| {
        if is_placeholder(&value) {
            return Ok(Value::from_object(vec![value]));
        }
        let meter = Meter::of(state);
        let value = meter.whole(value)?;
        meter.charge_shallow(&value)?;
        Ok::<_, Error>(value)
    });
    environment.add_filter(ITEM, |state: &mut State<'_, '_>, value: Value| {
        Meter::of(state).charge(value.as_str().map_or(0, str::len))?;
        Ok::<_, Error>(value)
    });
    environment.add_filter(KEY, |value: Value| match value.kind() {
        _ if is_placeholder(&value) => Ok(Value::from(PLACEHOLDER)),
        _ if value.downcast_object_ref::<Exact>().is_some() => Ok(plain(&value)),
        ValueKind::Undefined | ValueKind::Number | ValueKind::String | ValueKind::Bool | ValueKind::None => Ok(value),
        kind => Err(invalid(format!("a {kind} cannot be the name of a field"))),
    });
    environment.add_filter(ONE_PIECE, move |value: Value, named: Rest<Value>| {
        one_piece(part, &value, &named)?;
        Ok::<_, Error>(value)
    });
}

/// The nearest number that the engine can calculate with; other values stay unchanged.
pub(crate) fn plain(value: &Value) -> Value {
    value.downcast_object_ref::<Exact>().map_or_else(|| value.clone(), Exact::native)
}

fn operand(state: &mut State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if is_placeholder(value) {
        return Ok(Value::from(PLACEHOLDER));
    }
    Meter::of(state).charge_for(value, 1)?;
    Ok(plain(value))
}

fn number(value: &Value) -> Result<Value, Error> {
    let value = if is_placeholder(value) { Value::from(1) } else { plain(value) };
    match value.kind() {
        ValueKind::Undefined | ValueKind::Number | ValueKind::Bool | ValueKind::None => Ok(value),
        kind => Err(invalid(format!("only numbers can be used in a calculation, and this is a {kind}"))),
    }
}

fn text(state: &mut State<'_, '_>, part: Part, value: Value) -> Result<Value, Error> {
    if is_placeholder(&value) {
        return Ok(Value::from(PLACEHOLDER));
    }
    let times = if value.as_str().is_some() { 1 } else { MAX_TEXT_GROWTH };
    Meter::of(state).charge_for(&value, times)?;
    Ok(match value.kind() {
        ValueKind::None if part != Part::Json && part.accepts_null() => Value::from(""),
        ValueKind::Bool => Value::from(if value.is_true() { "true" } else { "false" }),
        _ => match value.downcast_object_ref::<Exact>() {
            Some(exact) => Value::from(exact.digits()),
            None => value,
        },
    })
}

/// Only texts, numbers and truth values may be written outside of JSON, because the engine would write anything else in
/// its own notation. Null may be written where [`Part::accepts_null`] allows it.
fn one_piece(part: Part, value: &Value, named: &[Value]) -> Result<(), Error> {
    let is = match value.kind() {
        _ if is_placeholder(value) || value.downcast_object_ref::<Exact>().is_some() => return Ok(()),
        ValueKind::None if part.accepts_null() => return Ok(()),
        ValueKind::None => "null",
        ValueKind::Map => "an object",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Undefined | ValueKind::Bool | ValueKind::String => return Ok(()),
        ValueKind::Number if decimal(value).is_some() => return Ok(()),
        _ => "a value that cannot be written",
    };
    let name = named.first().and_then(Value::as_str).unwrap_or("the value");
    let whole = part.whole();
    Err(invalid(format!("{name} is {is}, and only a text, a number, true or false can be a part of {whole}")))
}
