//! AWS's wire protocols, driven by the service models.
