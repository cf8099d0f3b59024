"""Real tables placed in the landing folder as if they had just arrived.

What lives here: one module per public data set that the demo, the tests and a first evening with the
platform can use. What does not: reading landed files (the `LandingSource` component) and anything the
platform needs in production, where files arrive by themselves.
"""
