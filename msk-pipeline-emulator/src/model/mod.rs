//! Shapes, patterns, enums, required members and URIs, from the AWS service models.
