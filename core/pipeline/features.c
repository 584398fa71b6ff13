/* The features of a frozen network, for heads that are taught something else. */
#include "core/pipeline/pipeline.h"

#include "core/infomask_lab.h"

static void mirror(float *tensor, int h, int w, int c)
{
    for (int y = 0; y < h; y++, tensor += (size_t)w * (size_t)c)
        for (int left = 0, right = w - 1; left < right; left++, right--)
            for (int i = 0; i < c; i++) {
                float *a = tensor + (size_t)left * (size_t)c + i, *b = tensor + (size_t)right * (size_t)c + i,
                      swap = *a;
                *a = *b;
                *b = swap;
            }
}

static struct image_view view_of(const struct infomask_model *model, const struct infomask_photo_info *photo,
                                 const struct infomask_look *look)
{
    struct image_view view = pipeline_view(model, photo->width, photo->height);
    enum image_filter filter = view.filter;

    if (look->crop > 0) {
        view = image_view_crop(photo->width, photo->height, look->crop, view.out_width, view.out_height);
        view.filter = filter;
    }
    return view;
}

enum infomask_status infomask_features(struct infomask_session *session, struct infomask_photo *photo,
                                       const struct infomask_look *look, float *features, struct infomask_error *err)
{
    const struct infomask_model *model = session->model;
    struct image_view view = view_of(model, &photo->info, look);
    struct infomask_timing timing = {0};
    struct engine_tap map;
    float *input;
    enum infomask_status status = INFOMASK_OK;

    if (model->info.features == 0)
        status = error_set(err, INFOMASK_NO_CLASS_MAP,
                           "this model has no pooled linear head, so it has no features to build on");
    if (status == INFOMASK_OK)
        status = engine_prepare(session->engine, 1, view.out_height, view.out_width, true, &input, err);
    if (status == INFOMASK_OK)
        status = pipeline_tensor(session, photo, &view, input, &timing, err);
    if (status == INFOMASK_OK && look->mirrored)
        mirror(input, view.out_height, view.out_width, (int)model->info.channels);
    if (status == INFOMASK_OK)
        status = engine_run(session->engine, err);
    if (status != INFOMASK_OK)
        return status;
    map = engine_features(session->engine);
    model->kernels->global_average(map.data, (size_t)map.h * (size_t)map.w, map.c, features, 0, map.c);
    return INFOMASK_OK;
}
