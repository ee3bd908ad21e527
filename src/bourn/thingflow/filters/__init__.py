"""ThingFlow's filters: each is a method of `bourn.thingflow.base.OutputThing`, and a function without its source."""

from bourn.thingflow.filters import (
    buffer,
    combinators,
    dispatch,
    first,
    json,
    map,
    never,
    output,
    scan,
    select,
    skip,
    some,
    take,
    timeout,
    transducer,
    where,
)
