"""Real tables placed in the landing folder as if they had just arrived, and a made-up world that is sent as messages.

What lives here: one module per data set that the demo, the tests and a first evening with the
platform can use. What does not: reading landed files (the `LandingSource` component) and anything the
platform needs in production, where files arrive by themselves.
"""
