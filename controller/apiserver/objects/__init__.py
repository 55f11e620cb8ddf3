"""What becomes of an object on its way in and out: admission, patches, managed fields, forms. No storage."""
